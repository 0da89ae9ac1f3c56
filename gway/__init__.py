"""GWAY: every public function of a project is a verb, an attribute and a page."""
