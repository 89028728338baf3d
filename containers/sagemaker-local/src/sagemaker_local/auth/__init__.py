"""Who may ask: AWS's signatures, version 4 and presigned, and what keeps web pages out."""
