"""The arithmetic of events and OTLP: what a journal line, a data point or an event adds to which series.

Standard library only, Python 3.9 and later: the exporter runs it from its own directory, the copied bundle
from `hooks/utils`. Imports inside the package are relative, so that it works under either name.
"""

__version__ = "0.1.0"
"""The version of the hooks and of the exporter, which are one product."""
