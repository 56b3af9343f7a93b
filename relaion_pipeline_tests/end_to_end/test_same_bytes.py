"""The same inputs give the same bytes, wherever and however they were released."""

import os
import shutil
from pathlib import Path

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot, make_private
from relaion_pipeline_tests.conftest import ROWS
from relaion_pipeline_tests.end_to_end import shared


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_folder_time_zone_locale_hash_seed_and_thread_count(released, tmp_path):
    made = sample.generate(tmp_path / "an other folder" / "data", rows=ROWS, seed=1)
    shared.edit_settings(made.data_root, "\n[nsfw]", "\n[limits]\nthreads = 1\nmemory = '512MiB'\n\n[nsfw]")
    for path in (made.data_root / "raw").rglob("*.parquet"):
        os.utime(path, (0, 0))
    # What is a data root's own: the key of its signatures, and the salt by which cover is drawn.
    first, second = DataRoot.at(released.data_root), DataRoot.at(made.data_root)
    make_private(second.private)
    shutil.copy2(first.signing_key, second.signing_key)
    shutil.copy2(first.salt, second.salt)
    environment = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    done = shared.run_apart("release", "--data", made.data_root, "--version", shared.VERSION, **environment)
    assert done.returncode == 0, done.stderr
    first, second = (contents(shared.current(root)) for root in (released.data_root, made.data_root))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
