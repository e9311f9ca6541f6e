import NodeAPI

/// Certificates of `node.example.org` and 127.0.0.1 that sign themselves, good from 2026 on for a hundred years, with
/// their keys, which keep no secret. `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1` made them.
enum TLSSamples {
    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBrzCCAVagAwIBAgIUZ/7Et6eo8Ja6ysZ5wYUhq3c6hmgwCgYIKoZIzj0EAwIw
        GzEZMBcGA1UEAwwQbm9kZS5leGFtcGxlLm9yZzAgFw0yNjExMjkxMjQ5MzFaGA8y
        MTI2MTEwNTEyNDkzMVowGzEZMBcGA1UEAwwQbm9kZS5leGFtcGxlLm9yZzBZMBMG
        ByqGSM49AgEGCCqGSM49AwEHA0IABHr7YuI4xY0SJ8v9Pzv5OjgoaFiMTc10f7hc
        JKm7K6GLrI6FkWNDdUVI3xVQIY0fi1ZMAMNbqbQcFbfuUTyLBymjdjB0MB0GA1Ud
        DgQWBBSlsUMqwZCcMg/P1M/l6Cn3Bji5OjAfBgNVHSMEGDAWgBSlsUMqwZCcMg/P
        1M/l6Cn3Bji5OjAPBgNVHRMBAf8EBTADAQH/MCEGA1UdEQQaMBiCEG5vZGUuZXhh
        bXBsZS5vcmeHBH8AAAEwCgYIKoZIzj0EAwIDRwAwRAIgbU83Uzj+l/ziQkW8XTcX
        aHeFt0ih4GK8h6iFlWZHrzICIFLMLTnpvXyBbBJEdsNQDATJEdgct9/Hvf3Rpm3a
        vOea
        -----END CERTIFICATE-----
        """
    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggsNPVm3QHMe/U77k
        ZEc4jM7lp07yHl0aUHJ1R/35l1OhRANCAAR6+2LiOMWNEifL/T87+To4KGhYjE3N
        dH+4XCSpuyuhi6yOhZFjQ3VFSN8VUCGNH4tWTADDW6m0HBW37lE8iwcp
        -----END PRIVATE KEY-----
        """
    static let otherCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBrzCCAVagAwIBAgIUH1h6gio9UhxdVdGOj+7HmiVmsBAwCgYIKoZIzj0EAwIw
        GzEZMBcGA1UEAwwQbm9kZS5leGFtcGxlLm9yZzAgFw0yNjExMjkxMjQ5MzFaGA8y
        MTI2MTEwNTEyNDkzMVowGzEZMBcGA1UEAwwQbm9kZS5leGFtcGxlLm9yZzBZMBMG
        ByqGSM49AgEGCCqGSM49AwEHA0IABPMhCdV4UUYyqRXlrTdTlACtfB+WbA25vbcN
        30/q6/TcEDkAfFFI+lvVGdJcMiwDCbMYvKxmwSso5JLintkG+MejdjB0MB0GA1Ud
        DgQWBBSpJNIVjWy05+6TNcJrgYAkzFhRvTAfBgNVHSMEGDAWgBSpJNIVjWy05+6T
        NcJrgYAkzFhRvTAPBgNVHRMBAf8EBTADAQH/MCEGA1UdEQQaMBiCEG5vZGUuZXhh
        bXBsZS5vcmeHBH8AAAEwCgYIKoZIzj0EAwIDRwAwRAIgdoG8d2aXEM54Phj3ygr5
        I5eUvxVM7c6lFipoHrWi8fYCIG+z5QWY1VUy7puETVZseRVrm3kBazyRXXC5EeZN
        5sgt
        -----END CERTIFICATE-----
        """
    static let otherKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGo82wdm6UYf0ZHWa
        Ffg4O1ld14ftjxyiYlCdLNS9MjGhRANCAATzIQnVeFFGMqkV5a03U5QArXwflmwN
        ub23Dd9P6uv03BA5AHxRSPpb1RnSXDIsAwmzGLysZsErKOSS4p7ZBvjH
        -----END PRIVATE KEY-----
        """

    /// What files with these would say.
    static func identity(_ certificate: String = certificate, _ key: String = key) -> TLSIdentity {
        TLSIdentity(
            certificatePath: "/c.pem", keyPath: "/k.pem", certificate: Array(certificate.utf8), key: Array(key.utf8))
    }
}
