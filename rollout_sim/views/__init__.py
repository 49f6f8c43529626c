"""Views: results as tables, sentences, files, pictures and pages.

Tables (`tables`), sentences (`sentences`), files of a command (`output`), sliders for notebooks (`explorer`), pictures
(`plots`) and the report (`report`). Imports `study` and what is below it; nothing below imports views but
`core.display`, the door through which a result shows itself. Begin with `tables`.
"""
