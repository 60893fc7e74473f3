"""Checks that this machine has the Python and the Java that Spark needs, and a Spark that the library can use.

Standard library only, and readable by an old Python: `make` runs this file before anything is installed.
"""

import os
import re
import shutil
import subprocess
import sys

MINIMUM_PYTHON = (3, 11)
MINIMUM_JAVA = 17
MINIMUM_SPARK = (4, 0)


def python_problem():
    # type: () -> str | None
    """What is wrong with the running Python, in one line; None when nothing is."""
    if sys.version_info[:2] >= MINIMUM_PYTHON:
        return None
    return "Python {}.{} or newer is needed; {} is {}.{}. Name another with `make PYTHON=/path/to/python3 ...`.".format(
        MINIMUM_PYTHON[0], MINIMUM_PYTHON[1], sys.executable, sys.version_info[0], sys.version_info[1]
    )


def java_command():
    # type: () -> str | None
    """The Java that Spark starts: that of JAVA_HOME, there or not, else the first on the PATH; None without one."""
    home = os.environ.get("JAVA_HOME")
    return os.path.join(home, "bin", "java") if home else shutil.which("java")


def java_problem():
    # type: () -> str | None
    """What is wrong with this machine's Java, in one line; None when nothing is."""
    wanted = "Java {} or newer is needed".format(MINIMUM_JAVA)
    remedy = "Install one (Debian: apt-get install openjdk-17-jre-headless) or point JAVA_HOME at it."
    home, java = os.environ.get("JAVA_HOME"), java_command()
    if not java or not os.path.exists(java):
        where = "JAVA_HOME={} has no bin/java".format(home) if home else "there is none on the PATH"
        return "{}; {}. {}".format(wanted, where, remedy)
    try:
        result = subprocess.run([java, "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return "{}; {} does not run ({}). {}".format(wanted, java, error, remedy)
    version = re.search(r'version "(?:1\.)?(\d+)', result.stdout.decode(errors="replace"))
    if version is None:
        return "{}; {} does not show its version. {}".format(wanted, java, remedy)
    if int(version.group(1)) < MINIMUM_JAVA:
        return "{}; {} is Java {}. {}".format(wanted, java, version.group(1), remedy)
    return None


def spark_problem(version):
    # type: (str) -> str | None
    """What is wrong with this version of PySpark, in one line; None when nothing is."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers.group(1)), int(numbers.group(2))) >= MINIMUM_SPARK:
        return None
    return "Spark {}.{} or newer is needed; this is Spark {}. Run on a cluster or a runtime that has it.".format(
        MINIMUM_SPARK[0], MINIMUM_SPARK[1], version
    )


if __name__ == "__main__":
    problem = python_problem() or java_problem()
    if problem:
        sys.exit(problem)
