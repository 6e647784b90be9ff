from __future__ import annotations

from dataclasses import replace

import pytest

from edge_llama.cli.doctor.diagnosis import Diagnosis, Folder, LlamaCpp
from edge_llama.cli.doctor.problems import Problem, find_problems
from edge_llama.machine.cpus import Cpus
from edge_llama.machine.instructions import Comparison
from edge_llama.machine.memory import Memory
from tests.cli.doctor.healthy import GB, HEALTHY, MODEL


def only_problem(diagnosis: Diagnosis) -> Problem:
    (problem,) = find_problems(diagnosis)
    return problem


def llama_cpp(missing: tuple[str, ...] = (), unused: tuple[str, ...] = ()) -> LlamaCpp:
    return LlamaCpp("CPU", None, Comparison(("SSE3",), missing, unused))


def test_nothing_is_wrong() -> None:
    assert find_problems(HEALTHY) == []


def test_llama_cpp_that_cannot_be_loaded_stops_everything() -> None:
    broken = LlamaCpp(None, "llama.cpp cannot be loaded: no libgomp", None)
    problem = only_problem(replace(HEALTHY, llama_cpp=broken))
    assert problem.stops
    assert problem.what == "llama.cpp cannot be loaded: no libgomp"


def test_instructions_that_the_cpu_lacks_stop_everything() -> None:
    problem = only_problem(replace(HEALTHY, llama_cpp=llama_cpp(missing=("AVX2", "AVX512"))))
    assert problem.stops
    assert "built for AVX2, AVX512, which this CPU lacks" in problem.what
    assert problem.commands == (
        "pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python "
        "llama-cpp-python==0.3.36",
        "pip install --force-reinstall --no-cache-dir --extra-index-url "
        "https://abetlen.github.io/llama-cpp-python/whl/cpu llama-cpp-python==0.3.36",
    )


def test_instructions_that_are_not_used_are_a_note() -> None:
    problem = only_problem(replace(HEALTHY, llama_cpp=llama_cpp(unused=("AVX512",))))
    assert not problem.stops
    assert "built without AVX512" in problem.what
    assert "--no-binary llama-cpp-python" in problem.commands[0]


def test_a_mac_whose_gpu_is_not_used() -> None:
    mac = replace(HEALTHY, memory=Memory(16 * GB, 12 * GB, None, gpu_limit=10 * GB))
    assert "whl/metal" in only_problem(mac).commands[0]
    metal = replace(mac, llama_cpp=LlamaCpp("Metal", None, Comparison((), (), ())))
    assert find_problems(metal) == []


@pytest.mark.parametrize(("quota", "problems"), [(0.5, 1), (1.0, 0), (2.5, 0)])
def test_a_quota_of_less_than_one_cpu(quota: float, problems: int) -> None:
    cpus = Cpus(logical=4, allowed=4, quota=quota, physical=4, performance=4)
    assert len(find_problems(replace(HEALTHY, cpus=cpus))) == problems


@pytest.mark.parametrize(("policy", "problems"), [("ACTIVE", 1), ("active", 1), ("passive", 0)])
def test_threads_that_spin(policy: str, problems: int) -> None:
    environment = replace(HEALTHY.environment, wait_policy=policy)
    assert len(find_problems(replace(HEALTHY, environment=environment))) == problems


def test_memory_that_is_swapped_out() -> None:
    swapping = replace(HEALTHY, swap_used=4 * GB)
    assert find_problems(swapping) == []
    scarce = replace(swapping, memory=replace(HEALTHY.memory, available=GB))
    assert "1.00 GB are available, and 4.00 GB are swapped out" in only_problem(scarce).what


def test_a_model_that_does_not_fit() -> None:
    model = replace(MODEL, plan=None, refusal="It needs 6 GB, and there are 4 GB.")
    problem = only_problem(replace(HEALTHY, models=(model,)))
    assert problem.what == (
        "llama-3.1-8b-instruct cannot be run: It needs 6 GB, and there are 4 GB."
    )
    assert not problem.stops


def test_a_model_that_is_damaged() -> None:
    model = replace(MODEL, plan=None, refusal="llama.gguf is cut off.", damaged=True)
    problem = only_problem(replace(HEALTHY, models=(model,)))
    assert problem.commands == ("edge-llama verify --repair llama-3.1-8b-instruct",)


def test_a_folder_that_cannot_be_written_to() -> None:
    folder = Folder("cache", "/cache", writable=False, free=GB)
    assert "/cache cannot be written to" in only_problem(replace(HEALTHY, folders=(folder,))).what


def test_a_full_disk() -> None:
    folder = Folder("models", "/models", writable=True, free=300_000_000)
    assert "300 MB are free" in only_problem(replace(HEALTHY, folders=(folder,))).what


def test_what_stops_everything_comes_first() -> None:
    environment = replace(HEALTHY.environment, wait_policy="active")
    broken = LlamaCpp(None, "broken", None)
    problems = find_problems(replace(HEALTHY, environment=environment, llama_cpp=broken))
    assert [problem.stops for problem in problems] == [True, False]


def test_what_keeps_models_from_being_downloaded_is_a_note() -> None:
    fault = "HTTPS_PROXY names no host. Unset it."
    environment = replace(HEALTHY.environment, faults=(fault,))
    problem = only_problem(replace(HEALTHY, environment=environment))
    assert problem.what == "HTTPS_PROXY names no host, so that nothing can be downloaded."
    assert (problem.remedy, problem.stops) == ("Unset it.", False)
