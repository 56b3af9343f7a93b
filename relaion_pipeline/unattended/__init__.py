"""What releases need when nobody is watching: looking at the inputs, deciding, telling of failures. No Dagster here."""
