"""The report as a website: from results to page models, and from these to HTML, CSS and SVG.

`build` collects results, `pages` and the other modules make of them what a page shows, the
templates lay it out. No page needs a server, a network or a script: JavaScript adds sorting,
filters and shortcuts to what works without it.
"""
