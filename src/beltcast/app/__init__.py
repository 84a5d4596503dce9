"""A page in the browser that asks a fitted model questions: ``beltcast app``.

``levers`` says what can be moved, ``state`` what is asked (a frozen value that a link carries),
``results`` answers it with thinned draws of a fit, ``view`` draws the answer, ``texts`` words it in
English or Chinese, ``files`` makes what is downloaded and reads what is uploaded, and ``server``
puts all that on a page.  Only ``view`` and ``server`` import Bokeh and Panel, the extra ``app``.
"""
