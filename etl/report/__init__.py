"""The page that ``etl report`` writes; reads the views of ``highlevel`` only, and never what customers wrote."""
