"""The only reader and writer of files.

Every function takes the folder that a path must not leave, ``within``. Inside it a path is walked part by part from a
handle of the folder, and no symbolic link is followed: a folder that came from a stranger cannot make otgen read or
write anything outside. Without it the path is the user's own, and links in it are followed when it is read.
"""

from otgen.exports import exported
from otgen.files.finding import entries as entries
from otgen.files.finding import near_entry as near_entry
from otgen.files.handles import exists as exists
from otgen.files.handles import is_folder as is_folder
from otgen.files.handles import names as names
from otgen.files.handles import remove as remove
from otgen.files.handles import rename as rename
from otgen.files.handles import sync_folder as sync_folder
from otgen.files.reading import is_file as is_file
from otgen.files.reading import most_bytes as most_bytes
from otgen.files.reading import opened as opened
from otgen.files.reading import read as read
from otgen.files.reading import read_json as read_json
from otgen.files.reading import read_text as read_text
from otgen.files.writing import append as append
from otgen.files.writing import appending as appending
from otgen.files.writing import finite as finite
from otgen.files.writing import make_folder as make_folder
from otgen.files.writing import sync as sync
from otgen.files.writing import whole as whole
from otgen.files.writing import write as write
from otgen.files.writing import write_json as write_json

__all__ = exported(globals())
