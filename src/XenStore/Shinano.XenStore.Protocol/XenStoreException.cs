namespace Shinano.XenStore.Protocol;

/// <summary>A xenstore request was refused. Thrown by the typed APIs (client and in-process), never by a parser.</summary>
public sealed class XenStoreException : IOException
{
    /// <param name="error">What the server answered.</param>
    /// <param name="request">What was asked, for people: "XS_READ /local/domain/3/name".</param>
    public XenStoreException(XenStoreError error, string request)
        : base($"{request}: {error.ToWireName()}")
    {
        Error = error;
    }

    /// <summary>What the server answered.</summary>
    public XenStoreError Error { get; }
}
