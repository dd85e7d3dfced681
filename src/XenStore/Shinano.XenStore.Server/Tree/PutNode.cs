using System.Collections.Immutable;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Tree;

/// <summary>Creates a node below an existing parent or changes an existing one's content.</summary>
/// <param name="Path">Absolute and valid.</param>
/// <param name="Order">See <see cref="StoreNode.Order"/>.</param>
internal sealed record PutNode(
    string Path, ReadOnlyMemory<byte> Value, ImmutableArray<NodePermission> Permissions, ulong Generation, ulong Order) : StoreMutation;
