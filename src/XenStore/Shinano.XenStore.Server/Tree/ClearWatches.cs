using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>The end of all watches of a domain.</summary>
internal sealed record ClearWatches(DomainId Domain) : StoreMutation;
