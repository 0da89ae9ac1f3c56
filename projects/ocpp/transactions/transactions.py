"""The rules of charging transactions: pure, without I/O, with the time handed in.

`ledger.Ledger` holds the transactions of one charger, `words` says what goes in
and what comes out, `rules` holds what is true of single values.
"""
