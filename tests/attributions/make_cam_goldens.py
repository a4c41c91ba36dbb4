"""Class activation maps as pytorch-grad-cam makes them, of a small network; by hand.

    pip install torch grad-cam==1.5.7
    python tests/attributions/make_cam_goldens.py

Its maps are stretched to [0, 1]. Three things are set: channels of Score-CAM are resized
as all maps are, about the centres of pixels; the features are those behind a ReLU, so that
Ablation-CAM takes zero for what is left out; and gradients are large beside the 1e-6 that
Grad-CAM++ adds to its denominator.
"""

import pathlib

import numpy as np
import pytorch_grad_cam as peer
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

PATH = pathlib.Path(__file__).parent / "goldens" / "cams.npz"
METHODS = {
    "grad_cam": peer.GradCAM,
    "grad_cam_pp": peer.GradCAMPlusPlus,
    "hires_cam": peer.HiResCAM,
    "layer_cam": peer.LayerCAM,
    "xgrad_cam": peer.XGradCAM,
    "score_cam": peer.ScoreCAM,
    "ablation_cam": peer.AblationCAM,
    "eigen_cam": peer.EigenCAM,
}
LABELS = np.array([0, 2, 1])

torch.nn.UpsamplingBilinear2d = lambda size: torch.nn.Upsample(
    size=size, mode="bilinear", align_corners=False
)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.relu = torch.nn.ReLU()
        self.second = torch.nn.Conv2d(6, 5, 3, padding=1)
        self.last = torch.nn.Linear(5, 4)

    def forward(self, x):
        x = self.second(self.relu(self.first(x)))
        return self.last(torch.relu(x).mean((2, 3)))


def main():
    torch.manual_seed(0)
    model = Network().eval()
    with torch.no_grad():
        model.first.weight.mul_(3)
        model.second.weight.mul_(3)
        model.last.weight.mul_(100)
    images = torch.rand(3, 3, 12, 16)
    targets = [ClassifierOutputTarget(int(label)) for label in LABELS]
    found = {"images": np.moveaxis(images.numpy(), 1, -1), "labels": LABELS}
    found |= {f"params.{k}": v.numpy() for k, v in model.state_dict().items()}
    found["logits"] = model(images).detach().numpy()
    for name, method in METHODS.items():
        with method(model=model, target_layers=[model.relu]) as cam:
            found[name] = cam(input_tensor=images, targets=targets)
        print(name, found[name].shape, found[name].mean((1, 2)))
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(PATH, **found)


if __name__ == "__main__":
    main()
