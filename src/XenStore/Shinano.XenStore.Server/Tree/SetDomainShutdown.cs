using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>A domain has shut down (@releaseDomain was sent), or runs again.</summary>
internal sealed record SetDomainShutdown(DomainId Domain, bool IsShutDown) : StoreMutation;
