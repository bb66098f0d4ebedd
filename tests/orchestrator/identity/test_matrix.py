"""The marks of identity: every cell of identity × method × scope, and rotations under load, short."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pool

from backdrop.contract import access
from backdrop.v1 import generation_service_pb2, info_service_pb2
from bench import identity_cells, rotation


async def test_every_cell_is_answered_as_it_must_be(tmp_path: Path) -> None:
    cells = await identity_cells.cells(tmp_path)
    assert len({(cell.identity, cell.method) for cell in cells}) == len(cells) > 200
    assert [cell for cell in cells if cell.answer is not cell.expected] == []


def test_the_cells_are_all_methods_and_all_scopes() -> None:
    files = (generation_service_pb2.DESCRIPTOR, info_service_pb2.DESCRIPTOR)
    services = [service for file in files for service in file.services_by_name.values()]
    pool = descriptor_pool.Default()
    services += [
        pool.FindServiceByName(name) for name in ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
    ]
    served = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert served - {"/grpc.health.v1.Health/List"} == {*access.METHODS}
    assert {*access.METHODS} <= {method.path for method in identity_cells.METHODS.values()}
    names = {scope.partition(":")[0] for scopes in identity_cells.SCOPES.values() for scope in scopes}
    assert names == {*access.SCOPES}


async def test_rotations_lose_no_request(tmp_path: Path) -> None:
    tally = await rotation.rotate(tmp_path, rounds=3)
    assert tally.lost == []
    assert tally.answered > 20
