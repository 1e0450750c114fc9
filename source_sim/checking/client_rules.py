"""What does the contract ask of a client? Every line that a recording of its calls can show, and how to mend a breach.

It knows words only; judging_tokens.py, judging_calls.py and judging_messages.py look.
"""

from __future__ import annotations

from typing import Final

from source_sim.checking.findings import Rule, table

_TOKENS: Final = "interface, section 3: token"
_CALLS: Final = "interface, section 4: FHIR on the exchange"
_CHAIN: Final = "domain, section 5: asking and answering"
_MAIL: Final = "interface, section 4, and domain, section 6: messages"

_TOKEN, _BEARER, _CALL, _CHAINS, _MANNERS, _MESSAGE = "token", "bearer", "call", "chain", "manners", "message"

# fmt: off
RULES: Final = table(
    (
        Rule("token-form", _TOKEN, "A token is asked for by a form",
             "POST to the token endpoint, a form with grant_type jwt-bearer (RFC 7523) and the assertion, once each.",
             _TOKENS,
             "Send application/x-www-form-urlencoded with exactly those two fields, and nothing in the URL."),
        Rule("token-algorithm", _TOKEN, "The assertion is signed with a key of one's own",
             "An assertion is signed by ES256, PS256 or EdDSA with the key of the connection's certificate, or of a "
             "signing certificate sent along as x5c.",
             _TOKENS,
             "Use one of the three algorithms; never HS256 or none."),
        Rule("token-audience", _TOKEN, "The assertion is for this token endpoint",
             "aud is the token_endpoint that the exchange's metadata names.",
             _TOKENS,
             "Read token_endpoint from /.well-known/oauth-authorization-server (or join.json) and copy it to aud."),
        Rule("token-lifetime", _TOKEN, "The assertion lives five minutes at most",
             "iat and exp are there, iat is not in the future, and exp is at most five minutes after it.",
             _TOKENS,
             "Make the assertion when you need it, let it live a minute, and keep your clock right."),
        Rule("token-once", _TOKEN, "An assertion is used once",
             "jti is there and never comes twice.",
             _TOKENS,
             "Write a fresh uuid into jti for every assertion; never send one again."),
        Rule("token-organisation", _TOKEN, "The assertion speaks for the certificate's organisation",
             "iss is the application id, and organisation the URA in the certificate of the connection.",
             _TOKENS,
             "Take organisation from the certificate you connect with, and iss from your registration."),
        Rule("token-person", _TOKEN, "Who acts, for whom, and in which contact",
             "A token about a patient names the acting professional (sub, name, role), one patient (a BSN), purpose "
             "and contact (id, kind, start); a mandate names the responsible (uzi, name, role).",
             _TOKENS,
             "Fill in these claims from the session of the person at the screen; never a shared account."),
        Rule("token-granted", _TOKEN, "Every assertion earns its token",
             "A well-made assertion is granted.",
             _TOKENS,
             "See the error_description that /token answered."),
        Rule("bearer-there", _BEARER, "Every call bears its token",
             "What is about patients or entries is asked with the access token as bearer, bound to the certificate.",
             _CALLS,
             "Send Authorization: Bearer with the token of /token, over a connection with the same certificate."),
        Rule("bearer-current", _BEARER, "An expired token is not used",
             "A token is good for expires_in seconds.",
             _TOKENS,
             "Note when you got the token, and fetch another a few seconds before it ends."),
        Rule("bearer-patient", _BEARER, "One token, one patient",
             "A token is about one patient; a search or message about another wants a token of its own.",
             _TOKENS,
             "Keep tokens per patient and contact, and pick by the patient of the search."),
        Rule("bearer-economy", _BEARER, "One token for one question",
             "All searches of one question about a patient can use one token while it lasts.",
             _TOKENS,
             "Fetch one token, then put the searches for medication or allergies with it at once."),
        Rule("url-silent", _CALL, "Nothing secret in a URL",
             "No BSN, assertion or token ever stands in a URL: addresses end up in logs.",
             _CALLS,
             "Put patient and filters in the form of POST …/_search, the token in Authorization."),
        Rule("search-post", _CALL, "Searches are POST",
             "A search is POST …/_search; GET is refused.",
             _CALLS,
             "Change GET {Type}?… into POST {Type}/_search with the same parameters as a form."),
        Rule("search-form", _CALL, "A search is a form",
             "A search's body is application/x-www-form-urlencoded.",
             _CALLS,
             "Set that Content-Type and encode the parameters."),
        Rule("search-patient", _CALL, "One search, one patient",
             "A search names one patient, by BSN: http://fhir.nl/fhir/NamingSystem/bsn|#########.",
             _CALLS,
             "Write the naming system in front of the number, and one number only."),
        Rule("media", _CALL, "FHIR JSON is asked for and sent",
             "Accept allows application/fhir+json or application/json; resources are sent as one of them.",
             _CALLS,
             "Set Accept and Content-Type to application/fhir+json."),
        Rule("well-made", _CALL, "Requests are well made",
             "A request that the exchange calls wrong (400, 405, 406, 409, 412, 415, 422) is a mistake of the client.",
             _CALLS,
             "The code and sentence in the OperationOutcome say what is wrong."),
        Rule("chain-there", _CHAINS, "Every call carries AORTA-ID",
             "AORTA-ID: initialRequestID=<uuid>; requestID=<uuid> stands on every message.",
             _CHAIN,
             "Send the header with every request to /fhir."),
        Rule("chain-message", _CHAINS, "Every message has an id of its own",
             "requestID is per message: no two requests share one, not even repeats.",
             _CHAIN,
             "Make a new uuid for requestID in the layer that sends."),
        Rule("chain-kept", _CHAINS, "A question is one chain",
             "initialRequestID stays the same through one question and its searches, and never spans two patients.",
             _CHAIN,
             "Make one uuid when the person asks, and hand it to all searches of that question."),
        Rule("retry-after", _MANNERS, "Not before Retry-After",
             "After 503 or 429 with Retry-After the same is not asked again before that many seconds.",
             _CALLS,
             "Read Retry-After and wait; tell the person what is going on."),
        Rule("repeats", _MANNERS, "No hammering",
             "The same search is not put again and again: an answer that is partial, empty or refused stays so for a "
             "while.",
             _CHAIN,
             "Show what came and what is missing; ask again when the person does."),
        Rule("message-identity", _MESSAGE, "One id, one message",
             "A MessageHeader id stands for one message: other bytes under it are refused (409).",
             _MAIL,
             "Keep the bytes that were sent; a correction is a new message with a new id."),
        Rule("message-repeat", _MESSAGE, "A repeat is the same message",
             "A message that was not accepted (503, no answer) is sent again as it was: same id, same bytes.",
             _MAIL,
             "Store the message before the first attempt and send the stored bytes; no new id per attempt."),
        Rule("message-kept", _MESSAGE, "A message is not given up",
             "Sending is not done until the exchange says 202: what met 503 or 429 is sent again.",
             _MAIL,
             "Keep an outbox, and repeat until the exchange accepts or refuses."),
        Rule("message-sender", _MESSAGE, "A message is sent by who writes it",
             "The sender in the MessageHeader is the organisation of the certificate, and the patient the token's.",
             _MAIL,
             "Fill in sender from your own registration, and fetch the token for the patient of the message."),
        Rule("message-followed", _MESSAGE, "What became of it is looked up",
             "The Task in Location tells whether a message arrived, failed or waits for people.",
             _MAIL,
             "Read the Task now and then until it is completed or failed, and show a failure to somebody."),
    )
)
# fmt: on
