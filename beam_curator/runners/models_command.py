"""`beam-curator models`: what is done with models before a job uses them."""

import argparse
import sys
from collections.abc import Callable, Mapping

from beam_curator.runners import exit_codes
from beam_curator.runners.options import UsageError

_NEMO = "pip install 'beam-curator[nemo]'"


def add_models_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("action", choices=tuple(_ACTIONS), metavar="ACTION", help=f"one of: {', '.join(_ACTIONS)}")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="export: a .nemo file of a Sortformer")
    parser.add_argument("directory", nargs="?", metavar="DIR", help="export: where the graphs go")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an exported model that was made of another file"
    )
    parser.add_argument("--verbose", action="store_true", help="show what NeMo logs")


def run_models_command(arguments: argparse.Namespace) -> int:
    """Do what was asked for; return the exit code.

    Raises:
      UsageError: something is missing, not installed, or not what it should be.
    """
    return _ACTIONS[arguments.action](arguments)


def _export(arguments: argparse.Namespace) -> int:
    if arguments.model is None or arguments.directory is None:
        raise UsageError("models export takes a .nemo file and a directory: beam-curator models export MODEL.nemo DIR")
    from beam_curator.diarization.models import NotAModelError, OutOfMemoryError
    from beam_curator.transforms.diarization.export import ExportedModel, ExportError, export_sortformer

    try:
        exported: ExportedModel = export_sortformer(
            arguments.model, arguments.directory, overwrite=arguments.overwrite, verbose=arguments.verbose
        )
    except ModuleNotFoundError as err:
        package = (err.name or "something of it").partition(".")[0]
        raise UsageError(f"models export needs NeMo, and {package} is not installed: {_NEMO}") from err
    except FileNotFoundError as err:
        raise UsageError(f"{err.filename} is not there: give a .nemo file on this machine") from err
    except (NotAModelError, FileExistsError) as err:
        raise UsageError(str(err)) from err
    except (ExportError, OutOfMemoryError) as err:
        print(f"beam-curator: {err}", file=sys.stderr)
        return exit_codes.FAILED
    config = exported.config
    family = "streaming" if config.is_streaming else "offline"
    print(f"{arguments.directory}: {config.name}, {family} family, {config.n_speakers} speakers")
    print(_table_of(exported.n_bytes))
    print(
        f"largest difference to NeMo: {exported.encode_difference:.1e} of probabilities, "
        f"{exported.pre_encode_difference:.1e} of embeddings"
    )
    if exported.rounding is not None:
        print(f"more than usual, but NeMo itself rounds by {exported.rounding:.1e} here")
    return exit_codes.DONE


def _table_of(n_bytes: Mapping[str, int]) -> str:
    return "\n".join(f"  {name:<16} {size:>13,} bytes" for name, size in n_bytes.items())


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {"export": _export}
