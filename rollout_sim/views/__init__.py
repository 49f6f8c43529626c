"""Views: results as tables, sentences, files, pictures and pages.

Tables (`tables`) of values that know how they are written (`cells`), sentences (`sentences`), one run told in some
lines (`story`), what `check` has found (`findings`), files and JSON of a command (`output`, by the names in `files`),
recipes (`recipe`), what a result shows of itself (`display`), sliders for notebooks (`explorer`), pictures (`plots`) and
the report (`report`).
Imports `study` and what is below it; nothing below imports views but `core.display`, the door through which a result
shows itself. Begin with `tables`.
"""
