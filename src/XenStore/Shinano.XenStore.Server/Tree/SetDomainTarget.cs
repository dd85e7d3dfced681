using Shinano.XenAbi;

namespace Shinano.XenStore.Server.Tree;

/// <summary>A domain gets the rights of another: docs/misc/xenstore.txt: SET_TARGET.</summary>
internal sealed record SetDomainTarget(DomainId Domain, DomainId Target) : StoreMutation;
