# They import torch, which only the script that makes the goldens needs.
collect_ignore = ["torch_nets.py", "torch_peers.py"]
