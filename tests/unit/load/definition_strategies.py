"""Definitions as hypothesis makes them."""

from fractions import Fraction

from hypothesis import strategies as st

from app.load import definition as d

TEXTS = st.text(max_size=5)
MICROSECONDS = st.integers(0, 10**12)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=3,
)
FRACTIONS = st.fractions(0, 1000)
for cls, strategy in {Fraction: FRACTIONS}.items():
    st.register_type_strategy(cls, strategy)

SCRIPTS = st.builds(d.ScriptConfig, script=TEXTS, timeout_us=st.none() | MICROSECONDS)
BODIES = st.builds(d.Body, value=JSONS)
HTTPS = st.builds(d.HttpConfig, body=BODIES)
HOOKS = st.none() | st.builds(d.Hook, config=SCRIPTS | HTTPS)
PROCESSORS = st.lists(
    st.builds(d.RunScript)
    | st.builds(d.SetVariable, value=JSONS)
    | st.builds(d.Wait)
    | st.builds(d.Assertion)
    | st.builds(d.Extraction),
    max_size=2,
).map(tuple)


def _steps(configs):
    step = st.builds(
        d.Step,
        config=configs,
        pre_hook=HOOKS,
        post_hook=HOOKS,
        pre_processors=PROCESSORS,
        post_processors=PROCESSORS,
    )
    return st.lists(step, max_size=2).map(tuple)


def _nested(configs):
    branch = st.builds(d.Branch, steps=_steps(configs))
    branches = st.builds(d.Branches, branches=st.lists(branch, max_size=2).map(tuple))
    return branches | st.builds(d.Loop, steps=_steps(configs), items=JSONS)


CONFIGS = st.recursive(HTTPS | SCRIPTS, _nested, max_leaves=3)
VARIABLES = st.dictionaries(TEXTS, JSONS, max_size=2)
OPTIONS = st.builds(d.Options)
DEFINITIONS = st.builds(
    d.Definition,
    steps=_steps(CONFIGS),
    options=OPTIONS,
    variables=VARIABLES,
    pre_hook=HOOKS,
    post_hook=HOOKS,
)
