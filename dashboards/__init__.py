"""The six dashboards, as code. `python3 -m dashboards` renders them to files/dashboards/."""
