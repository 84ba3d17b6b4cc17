"""The daemon of a developer host: journals and OTLP in, one exact set of numbers out."""
