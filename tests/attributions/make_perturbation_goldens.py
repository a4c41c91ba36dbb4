"""Writes ``perturbation_goldens.npz``: what captum and shapiq make of a small network.

Run by hand, ``python tests/attributions/make_perturbation_goldens.py``, with torch
2.13.0, captum 0.9.0, shapiq 1.4.1 and scikit-learn 1.9 installed. Everything is computed in
float64. Captum's ``Lime`` and ``KernelShap`` are given all coalitions once in place of
random ones, and the kernels of the papers; the rest is their code.
"""

from __future__ import annotations

import itertools
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).with_name("perturbation_goldens.npz")
SIDE, CLASSES, SUBSTRATE, ALPHA, WIDTH = 6, 4, 0.2, 0.5, 0.25


def main() -> None:
    import torch
    from captum import attr
    from captum._utils.models.linear_model import SkLearnLinearRegression, SkLearnRidge
    from shapiq import ExactComputer

    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(SIDE * SIDE * 3, 12)) * 0.35
    head = rng.normal(size=(12, CLASSES))
    images = rng.uniform(size=(2, SIDE, SIDE, 3))
    labels = np.array([1, 3])
    segments = np.zeros((2, SIDE, SIDE), int)
    segments[0] = np.arange(SIDE)[:, None] // 2 * 2 + np.arange(SIDE)[None] // 3
    segments[1] = (np.arange(SIDE)[:, None] + np.arange(SIDE)[None]) // 3
    segments[1, 0, 0] = 4
    weights = [torch.from_numpy(w) for w in (hidden, head)]

    def network(x):
        flat = x.permute(0, 2, 3, 1).reshape(len(x), -1)
        return torch.tanh(flat @ weights[0]) @ weights[1]

    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    targets = torch.from_numpy(labels)
    last = lambda maps: maps.detach().numpy().transpose(0, 2, 3, 1)
    found = {
        "occlusion": last(
            attr.Occlusion(network).attribute(
                *(x, (3, 3, 3)), strides=(3, 2, 2), baselines=SUBSTRATE, target=targets
            )
        ),
        "feature_ablation": last(
            attr.FeatureAblation(network).attribute(
                x,
                baselines=SUBSTRATE,
                target=targets,
                feature_mask=torch.from_numpy(
                    np.arange(SIDE)[:, None] // 2 * 3 + np.arange(SIDE)[None] // 2
                )[None, None],
            )
        ),
    }

    def all_coalitions(original, **kwargs):
        number = kwargs["num_interp_features"]
        for bits in itertools.product((0.0, 1.0), repeat=number):
            yield torch.tensor([bits], dtype=torch.float64)

    def near(original, perturbed, sample, **kwargs):
        distance = 1 - torch.sqrt(sample.mean())
        return torch.exp(-(distance**2) / (2 * WIDTH**2))

    def shapley_kernel(original, perturbed, sample, **kwargs):
        from math import comb

        m, k = sample.numel(), int(sample.sum())
        if k in (0, m):
            return torch.tensor(1e9, dtype=torch.float64)
        weight = (m - 1) / (comb(m, k) * k * (m - k))
        return torch.tensor(weight, dtype=torch.float64)

    for n in range(2):
        mask = torch.from_numpy(segments[n])[None, None]
        given = {
            "baselines": SUBSTRATE,
            "target": int(labels[n]),
            "feature_mask": mask,
        }
        players = int(segments[n].max()) + 1
        regression = {"n_samples": 2**players, "return_input_shape": False}
        lime = attr.Lime(
            network,
            interpretable_model=SkLearnRidge(alpha=ALPHA),
            similarity_func=near,
            perturb_func=all_coalitions,
        )
        found[f"lime_{n}"] = lime.attribute(x[n : n + 1], **given, **regression)[0]
        kernel_shap = attr.KernelShap(network)
        kernel_shap.perturb_func = all_coalitions
        kernel_shap.similarity_func = shapley_kernel
        kernel_shap.interpretable_model = SkLearnLinearRegression()
        phi = kernel_shap.attribute(x[n : n + 1], **given, **regression)[0]
        found[f"kernel_shap_{n}"] = phi
        exact = attr.ShapleyValues(network).attribute(x[n : n + 1], **given)[0, 0]
        firsts = [np.argwhere(segments[n] == k)[0] for k in range(players)]
        found[f"shapley_{n}"] = np.array([exact[i, j] for i, j in firsts])

        def worth(coalitions, n=n, mask=mask):
            keep = torch.from_numpy(np.asarray(coalitions, bool))[:, mask[0, 0]]
            shown = torch.where(keep[:, None], x[n][None], SUBSTRATE)
            return network(shown)[:, labels[n]].numpy()

        game = ExactComputer(worth, n_players=players)
        index = game(index="SII", order=2)
        table = np.zeros((players, players))
        for i, j in itertools.combinations(range(players), 2):
            table[i, j] = table[j, i] = index[(i, j)]
        found[f"sii_{n}"] = table
    arrays = {name: np.asarray(value) for name, value in found.items()}
    np.savez_compressed(
        FILE,
        hidden=hidden,
        head=head,
        images=images,
        labels=labels,
        segments=segments,
        **arrays,
    )
    print({name: value.shape for name, value in arrays.items()})


if __name__ == "__main__":
    main()
