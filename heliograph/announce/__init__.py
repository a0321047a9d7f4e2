"""Keeps the part of a stream that one program owns equal to what that program says."""
