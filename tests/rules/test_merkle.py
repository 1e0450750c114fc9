"""Is it the tree of RFC 6962, and can nothing be proved that is not so? Against the RFC's own example and pymerkle."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from gateway.rules.merkle import (
    EMPTY,
    TILE,
    Frontier,
    consistency_path,
    grow,
    includes,
    inclusion_path,
    is_beginning,
    leaf_hash,
    node_hash,
    root_of,
    split_hashes,
)

ENTRIES = [f"entry {number}".encode() for number in range(70)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def node(level: int, place: int) -> bytes:
    """A complete subtree's root, worked out from the leaves by the definition."""
    if level == 0:
        return LEAVES[place]
    return node_hash(node(level - 1, 2 * place), node(level - 1, 2 * place + 1))


ROOTS = [root_of(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def test_leaves_and_nodes_are_hashed_apart() -> None:
    assert leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    assert root_of([]) == EMPTY == sha256(b"").digest()


# RFC 6962 section 2.1.3: seven entries, the nodes named as there
A, B, C, D, E, F, J = LEAVES[:7]
G, H, EF = node_hash(A, B), node_hash(C, D), node_hash(E, F)
K, L = node_hash(G, H), node_hash(EF, J)


def test_the_tree_of_seven() -> None:
    assert ROOTS[7] == node_hash(K, L)
    assert [ROOTS[3], ROOTS[4], ROOTS[6]] == [node_hash(G, C), K, node_hash(K, EF)]


@pytest.mark.parametrize(
    ("index", "path"), [(0, [B, H, L]), (3, [C, G, L]), (4, [F, J, K]), (6, [EF, K])], ids=lambda one: str(one)[:1]
)
def test_the_audit_paths_of_the_rfc(index: int, path: list[bytes]) -> None:
    assert inclusion_path(index, 7, node) == path


@pytest.mark.parametrize(
    ("old", "path"), [(3, [C, D, G, L]), (4, [L]), (6, [EF, J, K]), (7, [])], ids=lambda one: str(one)[:1]
)
def test_the_consistency_proofs_of_the_rfc(old: int, path: list[bytes]) -> None:
    assert consistency_path(old, 7, node) == path


def test_roots_and_paths_are_those_of_another_implementation() -> None:
    other = InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        other.append_entry(entry)
    for size in range(1, len(ENTRIES) + 1):
        assert ROOTS[size] == other.get_root(size)
        for index in range(size):
            leaf, *path = other.prove_inclusion(index + 1, size).path
            assert (LEAVES[index], inclusion_path(index, size, node)) == (leaf, path)


SIZES = [(old, new) for new in range(1, len(LEAVES) + 1) for old in range(1, new + 1)]


def test_every_entry_is_proved_in_every_tree_and_nowhere_else() -> None:
    for index, size in ((old - 1, new) for old, new in SIZES):
        path = inclusion_path(index, size, node)
        assert includes(LEAVES[index], index, size, path, ROOTS[size])
        assert not includes(LEAVES[index - 1], index, size, path, ROOTS[size]) or size == 1
        assert not includes(LEAVES[index], index, size, path, ROOTS[size - 1])
        assert not includes(LEAVES[index], index, size, [*path, ROOTS[1]], ROOTS[size])
        assert not includes(LEAVES[index], index, size, path[:-1], ROOTS[size]) or not path


def test_every_tree_is_proved_the_beginning_of_every_later_one_and_of_no_other() -> None:
    for old, new in SIZES:
        path = consistency_path(old, new, node)
        assert is_beginning(old, new, ROOTS[old], ROOTS[new], path)
        assert not is_beginning(old, new, ROOTS[old - 1], ROOTS[new], path)
        assert not is_beginning(old, new, ROOTS[old], ROOTS[new - 1], path)
        assert not is_beginning(old, new, ROOTS[old], ROOTS[new], [*path, ROOTS[1]])
        assert not is_beginning(old, new, ROOTS[old], ROOTS[new], path[:-1]) or not path


@given(st.data())
def test_a_proof_with_one_hash_changed_proves_nothing(data: st.DataObject) -> None:
    old, new = data.draw(st.sampled_from([pair for pair in SIZES if pair[0] < pair[1]]))
    path = consistency_path(old, new, node)
    at = data.draw(st.integers(0, len(path) - 1))
    path[at] = sha256(path[at]).digest()
    assert not is_beginning(old, new, ROOTS[old], ROOTS[new], path)
    path = inclusion_path(old - 1, new, node)
    at = data.draw(st.integers(0, len(path) - 1))
    path[at] = sha256(path[at]).digest()
    assert not includes(LEAVES[old - 1], old - 1, new, path, ROOTS[new])


def test_a_path_that_ends_below_the_root_proves_nothing() -> None:
    assert not includes(LEAVES[0], 0, 2, [], LEAVES[0])
    assert not includes(LEAVES[0], 0, 4, [LEAVES[1]], ROOTS[2])
    assert not is_beginning(1, 2, ROOTS[1], ROOTS[1], [])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    assert not includes(LEAVES[0], index, size, [], ROOTS[1])
    with pytest.raises(ValueError, match="no such entry"):
        inclusion_path(index, size, node)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 3)])
def test_nothing_is_the_beginning_of_what_is_smaller(old: int, new: int) -> None:
    assert not is_beginning(old, new, ROOTS[0], ROOTS[3], [])
    with pytest.raises(ValueError, match="no smaller"):
        consistency_path(old, new, node)


@given(st.lists(st.integers(0, 30), max_size=6))
def test_it_does_not_matter_in_which_pieces_a_tree_grows(pieces: list[int]) -> None:
    frontier, nodes, at = Frontier(), [], 0
    for piece in pieces:
        taken = [leaf_hash(str(number).encode()) for number in range(at, at + piece)]
        frontier, done = grow(Frontier.unpacked(frontier.size, frontier.packed()), taken)
        nodes, at = [*nodes, *done], at + piece
    whole, all_done = grow(Frontier(), [leaf_hash(str(number).encode()) for number in range(at)])
    assert (frontier, nodes) == (whole, list(all_done))


def test_the_subtrees_handed_out_are_the_complete_ones_of_whole_tiles() -> None:
    size = (1 << 2 * TILE) + (1 << TILE) + 3
    leaves = [number.to_bytes(32, "big") for number in range(size)]
    _, nodes = grow(Frontier(), leaves)
    assert [(one.level, one.place) for one in nodes if one.level == TILE] == [(TILE, n) for n in range(size >> TILE)]
    assert [(one.level, one.place) for one in nodes if one.level != TILE] == [(2 * TILE, 0)]
    assert nodes[1].hash == root_of(leaves[1 << TILE : 2 << TILE])
    assert nodes[-2].hash == root_of(leaves[: 1 << 2 * TILE])


@pytest.mark.parametrize(("size", "packed"), [(1, b""), (2, b"x" * 64), (3, b"x" * 63), (-1, b""), (0, b"x" * 32)])
def test_a_frontier_that_cannot_be(size: int, packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"frontier|whole number"):
        Frontier.unpacked(size, packed)


def test_hashes_stand_one_behind_another() -> None:
    assert split_hashes(b"a" * 32 + b"b" * 32) == (b"a" * 32, b"b" * 32)
