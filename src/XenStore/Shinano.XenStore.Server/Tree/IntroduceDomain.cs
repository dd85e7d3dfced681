using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>A domain may talk to the store from now on; a domain introduced again loses its watches.</summary>
internal sealed record IntroduceDomain(DomainId Domain, ulong Frame, uint Port) : StoreMutation;
