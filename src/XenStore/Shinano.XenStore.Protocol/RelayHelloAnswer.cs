namespace Shinano.XenStore.Protocol;

/// <summary>The server's answer to a <see cref="RelayHello"/>: 8 bytes of magic and a 4-byte number, little-endian.</summary>
public enum RelayHelloAnswer : uint
{
    Accepted = 0,

    /// <summary>The domain is not introduced, or xend has not yet said which token it has; try again.</summary>
    NotIntroduced = 1,

    /// <summary>The hello could not be understood.</summary>
    Malformed = 2,

    /// <summary>The token is not the domain's.</summary>
    Refused = 3,
}
