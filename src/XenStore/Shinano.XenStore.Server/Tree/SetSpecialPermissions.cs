using System.Collections.Immutable;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Tree;

/// <summary>Who may receive a special watch.</summary>
internal sealed record SetSpecialPermissions(string Path, ImmutableArray<NodePermission> Permissions) : StoreMutation;
