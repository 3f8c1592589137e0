package providers

// Within is what marks a request as going where an issuer's metadata says.
var Within = within
