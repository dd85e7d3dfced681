using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>A domain is gone, with its watches.</summary>
internal sealed record ReleaseDomain(DomainId Domain) : StoreMutation;
