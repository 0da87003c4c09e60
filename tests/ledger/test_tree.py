"""The tree's head is that of RFC 6962, for any number of leaves."""

from __future__ import annotations

import hashlib

import pytest

from ledger.tree import Tree

# The leaves and roots with which Certificate Transparency's own tests begin.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_others_are_ours(size: int) -> None:
    tree = Tree()
    tree.add_all([leaf(data) for data in LEAVES[:size]])
    assert (tree.size, tree.root().hex()) == (size, ROOTS[size])


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = by_definition(leaves[:split]), by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("pieces", [[256], [1, 255, 512], [512, 300, 1], [100, 700]])
def test_many_at_once_are_the_same_as_one_by_one(pieces: list[int]) -> None:
    one_by_one, at_once, number = Tree(), Tree(), 0
    for piece in pieces:
        leaves = [leaf(b"%d" % each) for each in range(number, number + piece)]
        number += piece
        at_once.add_all(leaves)
        for each in leaves:
            one_by_one.add_all([each])
        assert (at_once.size, at_once.root()) == (number, one_by_one.root())


def test_it_is_the_definition_after_every_leaf() -> None:
    tree, leaves = Tree(), []
    for number in range(130):
        assert tree.root() == by_definition(leaves)
        leaves.append(leaf(b"%d" % number))
        tree.add_all(leaves[-1:])
