using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>The end of a watch of a domain.</summary>
internal sealed record RemoveWatch(DomainId Domain, string Path, string Token) : StoreMutation;
