"""Claim, decide, act, record: what moves messages between archive and network.

``intake`` answers the archive, ``outbound`` sends, ``inbound`` takes in, ``delivery``
hands over, ``worker`` runs them. Every change of a message goes through ``ledger``.
"""
