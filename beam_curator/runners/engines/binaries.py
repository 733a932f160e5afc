"""Where the engines' own programs are: Prism's binary and Flink's job server. Nothing is downloaded silently."""

import os
import shutil
import sys

from apache_beam.options.pipeline_options import FlinkRunnerOptions, JobServerOptions, PipelineOptions
from apache_beam.utils.subprocess_server import JavaJarServer
from apache_beam.version import __version__ as beam_version

from beam_curator.runners.options import UsageError

CACHE_VARIABLE = "BEAM_CURATOR_ENGINES"
PRISM_PACKAGE = "github.com/apache/beam/sdks/v2/go/cmd/prism"


def engine_cache() -> str:
    """Return the folder that `make engines` fills: $BEAM_CURATOR_ENGINES, or one in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get(CACHE_VARIABLE) or os.path.join(cache, "beam_curator", "engines")


def prism_in_cache() -> str:
    """Return where `make engines` puts the Prism of this version of Beam."""
    return os.path.join(engine_cache(), f"prism-{beam_version}", "prism")


def job_server_in_cache() -> str:
    """Return where `make engines` puts Flink's job server."""
    return os.path.join(engine_cache(), "flink", "flink-job-server.jar")


def prism_binary(given: str | None) -> str:
    """Find Prism: as given, in PATH, or in our cache.

    Raises:
      UsageError: it is not there; the message holds the command that installs it.
    """
    install = f"GOBIN={os.path.dirname(prism_in_cache())} go install {PRISM_PACKAGE}@v{beam_version}"
    if given:
        if "://" in given or os.path.isfile(given):
            return given
        raise UsageError(
            f"--prism_location {given}: there is no such file: leave it out, or install Prism with\n  {install}"
        )
    found = shutil.which("prism") or _existing(prism_in_cache())
    if found is None:
        raise UsageError(
            f"Prism is not installed: neither in PATH nor {prism_in_cache()}: install it with\n  {install}"
        )
    return found


def flink_job_server(options: PipelineOptions) -> str:
    """Find Flink's job server: as given, in our cache, or as Beam downloads it.

    Raises:
      UsageError: there is no Java, no such file, or the download fails.
    """
    launcher = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(launcher) is None:
        raise UsageError(
            f"Flink needs Java, and there is no {launcher!r} in PATH: install Java 17 (openjdk-17-jre-headless)"
        )
    flink = options.view_as(FlinkRunnerOptions)
    given = flink.flink_job_server_jar
    if given:
        if "://" in given or os.path.isfile(given):
            return str(given)
        raise UsageError(f"--flink_job_server_jar {given}: there is no such file: leave it out, or name the jar")
    return _existing(job_server_in_cache()) or _from_beam(
        flink.flink_version, options.view_as(JobServerOptions).jar_cache_dir
    )


def _from_beam(flink_version: str, cache: str | None) -> str:
    """Let Beam find the job server of its own release, in its cache or at Maven Central; say so where it downloads."""
    url = JavaJarServer.path_to_beam_jar(f":runners:flink:{flink_version}:job-server:shadowJar")
    kept = os.path.join(cache or JavaJarServer.JAR_CACHE, url.rpartition("/")[2])
    if "://" in url and not os.path.exists(kept):
        print(
            f"beam-curator: Flink's job server is not at {job_server_in_cache()}: Beam downloads {url}", file=sys.stderr
        )
    try:
        return str(JavaJarServer.local_jar(url, cache))
    except (OSError, RuntimeError) as err:
        reason = str(err).partition(". Also")[0]
        raise UsageError(
            f"Flink's job server could not be downloaded ({reason}): run 'make engines' in a checkout of beam_curator, "
            "or name a jar with --flink_job_server_jar"
        ) from err


def _existing(path: str) -> str | None:
    return path if os.path.isfile(path) else None
