namespace Shinano.Control.Configuration.Networks;

/// <summary>How an interface reaches what is not on its switch.</summary>
public enum NetworkKind
{
    /// <summary>User-mode NAT.</summary>
    User,

    /// <summary>A bridge of the host's, which takes root.</summary>
    Bridge,

    /// <summary>Not at all.</summary>
    Internal,
}
