"""Sketchers with sketch="factored": against whole gradients, and which weights are factored."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from skmm_fast.gradients import GradientSketcher
from skmm_fast.sketch.factored import PartlyFactored

B, T, V = 5, 12, 150
torch.manual_seed(0)
BATCH = {"input_ids": torch.randint(0, V, (B, T))}
SMALL = {"sketch": "factored", "factor_dim": 16, "sketch_dim": 64}


def llama(tied=False):
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=V, hidden_size=48, intermediate_size=100, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=tied,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def gpt2():
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=V, n_embd=48, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1
    )
    return transformers.GPT2LMHeadModel(config).eval()


def whole_gradients(model):
    """(B, r) by one ordinary backward pass a sample."""
    rows = []
    for ids in BATCH["input_ids"]:
        model.zero_grad()
        logits = model(ids[None]).logits[0, :-1]
        each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        (each.sum() / len(each) ** 0.5).backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    return torch.stack(rows)


@pytest.mark.parametrize("make", [llama, lambda: llama(tied=True), gpt2])
@pytest.mark.parametrize("method", ["auto", "loop"])
def test_rows_are_those_of_whole_gradients(make, method):
    model = make()
    sketcher = GradientSketcher(model, params="all", loss="causal-lm", method=method, **SMALL)
    Z = sketcher(BATCH)
    assert set(sketcher.methods.values()) == {"hooks" if method == "auto" else "loop"}
    assert isinstance(sketcher.sketch, PartlyFactored)
    expected = sketcher.sketch.apply(whole_gradients(model))
    np.testing.assert_allclose(Z, expected, rtol=1e-4, atol=1e-5 * float(expected.norm()))


def test_linear_layers_are_factored_and_others_are_not():
    def factored(model):
        sketcher = GradientSketcher(model, params="all", loss="causal-lm", **SMALL)
        assert sketcher.factored == []  # not known yet
        sketcher(BATCH)
        assert list(sketcher.sketch._blocks) == sorted(sketcher.sketch._blocks)
        return set(sketcher.factored)

    two_dims = {name for name, p in llama().named_parameters() if p.ndim == 2}
    assert factored(llama()) == two_dims - {"model.embed_tokens.weight"}
    assert factored(llama(tied=True)) == two_dims - {"lm_head.weight"}  # the embedding is the head
    assert "transformer.wpe.weight" not in factored(gpt2())
    assert "transformer.wte.weight" in factored(gpt2())


class Classifier(torch.nn.Module):
    """A layer with tokens, one without, and a small one."""

    def __init__(self):
        super().__init__()
        self.tokens, self.pooler = torch.nn.Linear(20, 30), torch.nn.Linear(30, 30)
        self.head = torch.nn.Linear(30, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.pooler(self.tokens(x).relu().mean(1))))


def test_layers_without_tokens_are_sketched_by_entries():
    torch.manual_seed(0)
    model = Classifier().eval()
    batch = (torch.randn(B, T, 20), torch.arange(B) % 3)
    sketcher = GradientSketcher(model, params="all", **SMALL)
    Z = sketcher(batch)
    assert sketcher.factored == ["tokens.weight"]
    alone = torch.cat([sketcher((x[None], y[None])) for x, y in zip(*batch, strict=True)])
    torch.testing.assert_close(Z, alone)
    plain = GradientSketcher(model, params=["pooler.*", "head.*"], **SMALL)
    by_entries = GradientSketcher(model, params=["pooler.*", "head.*"], sketch_dim=64)
    assert torch.equal(plain(batch), by_entries(batch))


def test_gamma_does_not_depend_on_the_batch():
    model = llama()

    def sketcher():
        return GradientSketcher(model, params="all", loss="causal-lm", **SMALL)

    whole = sketcher()
    Z = whole(BATCH)
    other = sketcher()
    other({"input_ids": BATCH["input_ids"][:1, :2]})  # a single sample of two tokens comes first
    torch.testing.assert_close(other(BATCH), Z)
    assert other.sketch == whole.sketch
    assert other.fingerprint()["matrices"] == whole.fingerprint()["matrices"]


def test_forget_forgets_what_is_factored():
    torch.manual_seed(0)
    model = torch.nn.Linear(20, 30).eval()
    sketcher = GradientSketcher(model, params="all", loss="mse", **SMALL)
    sketcher((torch.randn(B, 20), torch.randn(B, 30)))
    assert sketcher.factored == []
    sketcher.forget()
    sketcher((torch.randn(B, T, 20), torch.randn(B, T, 30)))
    assert sketcher.factored == ["weight"]
    sketcher.forget()
    assert sketcher.factored == []


def test_devices_make_the_same_sums():
    from skmm_fast.device import gamma

    S = PartlyFactored(2007, 32, matrices=[(3, 40, 50)], factor_dim=24)
    G, Z = torch.randn(3, 2007), torch.zeros(3, 32)
    S._add_dense(gamma.add_dense, G, Z, 0)
    torch.testing.assert_close(Z, S.apply(G), rtol=1e-4, atol=1e-4)
    E, X, sums = torch.randn(3, 5, 40), torch.randn(3, 5, 50), torch.zeros(3, 32)
    S._add_products(gamma.add_dense, S._blocks[3], E, X, sums)
    M = torch.einsum("nto,nti->noi", E, X).flatten(1)
    expected = S.apply(M, out=torch.zeros(3, 32), col_offset=3, accumulate=True)
    torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-3)


def test_entries_have_the_rows_of_sparse_signs_on_devices_too():
    """An accumulator hands `_entries` to the functions that devices have for them."""
    from skmm_fast.device import gamma
    from skmm_fast.gradients.sketch_accumulator import SketchAccumulator

    S = PartlyFactored(2007, 32, matrices=[(3, 40, 50)], factor_dim=24)
    rows = gamma.rows(SketchAccumulator(S, None)._entries, 2003, 2007, "cpu")
    np.testing.assert_array_equal(rows, S.toarray(2003, 2007))
    with pytest.raises(KeyError, match="factored"):
        gamma.rows(S, 0, 1, "cpu")


def test_a_sketch_that_is_wider_than_what_is_left():
    model = torch.nn.Linear(20, 20).eval()
    sketcher = GradientSketcher(model, params="all", loss="mse", **{**SMALL, "factor_dim": 4})
    with pytest.raises(ValueError, match=r"sketch_dim: expected at most .* factor_dim=4, got 64"):
        sketcher((torch.randn(B, T, 20), torch.randn(B, T, 20)))


def test_errors():
    model = Classifier().eval()
    for options in ({"nnz_per_row": 4}, {"scale": torch.optim.Adam(model.parameters())}):
        with pytest.raises(ValueError, match="sketch: expected another than 'factored'"):
            GradientSketcher(model, params="all", **SMALL, **options)
    with pytest.raises(ValueError, match="factor_dim: expected"):
        GradientSketcher(model, params="all", **{**SMALL, "factor_dim": 0})
    with pytest.raises(ValueError, match=r"sketch: expected one of .*'factored'.* got 'factor'"):
        GradientSketcher(model, params="all", sketch="factor")
