"""The demonstration: raw data to a live endpoint and scored partitions, by a real Airflow on one machine."""
