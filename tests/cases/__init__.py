"""Problems with known answers, independent references, and the components that the contracts run over.

Plain modules, imported as ``cases.*`` (``tests`` is on pytest's ``pythonpath``). Nothing here is a test.
"""
