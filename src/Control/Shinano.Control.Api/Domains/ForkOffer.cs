namespace Shinano.Control.Api.Domains;

/// <summary>
/// Where a running domain's process gives its frozen state and memory to the processes of its copies, without xend in between (docs/design/mobility.md): told to both sides.
/// </summary>
/// <param name="SocketPath">Unix stream socket that the domain's process listens on (mode 0600) while the offer stands.</param>
/// <param name="Token">What a copy's process shows there: 32 hexadecimal digits, random for each offer.</param>
public sealed record ForkOffer(string SocketPath, string Token);
