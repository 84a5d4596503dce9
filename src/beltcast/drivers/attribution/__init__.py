"""Attribute output to drivers."""
