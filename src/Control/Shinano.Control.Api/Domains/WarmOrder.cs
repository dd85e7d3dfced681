namespace Shinano.Control.Api.Domains;

/// <summary>
/// What xend tells a domain process that it started before there was a domain for it: a line of JSON on the socket that the process connected to. The process answers with
/// one byte once it listens on the domain's control socket. A socket that ends before an order ends the process.
/// </summary>
/// <param name="SpecPath">The domain's <see cref="DomainSpec"/>.</param>
/// <param name="LogPath">Standard output and error are appended here from now on.</param>
public sealed record WarmOrder(string SpecPath, string LogPath)
{
    /// <summary>Bytes of a line at most.</summary>
    public const int MaximumSize = 64 << 10;
}
