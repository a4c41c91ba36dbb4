"""The methods of jobs: which there are, their options, and what a caller asks for."""
