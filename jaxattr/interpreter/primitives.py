"""What is known of JAX's primitives: which act on each number, which only move numbers."""

from __future__ import annotations

MOVES = frozenset(
    [
        "reshape",
        "transpose",
        "squeeze",
        "expand_dims",
        "broadcast_in_dim",
        "slice",
        "dynamic_slice",
        "dynamic_update_slice",
        "gather",
        "pad",
        "concatenate",
        "rev",
        "copy",
        "copy_p",
        "split",
        "optimization_barrier",
        "apart",  # of jaxattr
        "sharding_constraint",
        "mesh_cast",
        "reshard",
        "pvary",
        "pcast",
        "device_put",
        "all_gather",
        "all_gather_invariant",
        "ppermute",
        "all_to_all",
        "select_and_gather_add",
        "unstack",
        "stack",
    ]
)
"""Every number of the result is one of the arguments: linear, and without weights."""

RESHAPES = frozenset(
    ["reshape", "transpose", "squeeze", "expand_dims", "copy", "copy_p"]
)
"""Moves that neither leave out a number nor repeat one."""

SUMS = frozenset(
    [
        "reduce_sum",
        "reduce_window_sum",
        "cumsum",
        "psum",
        "psum_invariant",
        "psum_scatter",
        "reduce_scatter",
    ]
)
"""Sums without weights."""

MAXIMA = frozenset(
    [
        "reduce_max",
        "reduce_min",
        "reduce_window_max",
        "reduce_window_min",
        "max_pool",  # of jaxattr
    ]
)
"""One of many numbers."""

AFFINE = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "convert_element_type",
        "name",
        "copy",
        "copy_p",
    ]
)
"""Affine in one argument where the others are constants (of a quotient, the first)."""

COMPARISONS = frozenset(["eq", "ne", "ge", "gt", "le", "lt", "is_finite"])

ELEMENTWISE = COMPARISONS | frozenset(
    [
        "abs",
        "acos",
        "acosh",
        "add",
        "add_any",
        "and",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "cbrt",
        "ceil",
        "clamp",
        "convert_element_type",
        "copy",
        "copy_p",
        "cos",
        "cosh",
        "digamma",
        "div",
        "erf",
        "erf_inv",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "floor",
        "integer_pow",
        "lgamma",
        "log",
        "log1p",
        "logistic",
        "max",
        "min",
        "mul",
        "name",
        "neg",
        "nextafter",
        "not",
        "or",
        "pow",
        "reduce_precision",
        "rem",
        "round",
        "rsqrt",
        "select_n",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "stop_gradient",
        "sub",
        "tan",
        "tanh",
        "xor",
        "custom_jvp_call",
    ]
)
"""Each number of the result depends on the numbers of the same place."""

CONTROL_FLOW = frozenset(["scan", "while", "cond", "shard_map"])
"""Equations with programs inside."""
