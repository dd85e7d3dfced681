using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>A watch of a domain.</summary>
/// <param name="Path">As the domain gave it: a relative path stays relative in events.</param>
internal sealed record AddWatch(DomainId Domain, string Path, string Token) : StoreMutation;
