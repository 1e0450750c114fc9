"""Who is calling? A verified client certificate and a token become a Requester; a claim may narrow what the register
says, never widen it. Revocations and participants come in as arguments."""
