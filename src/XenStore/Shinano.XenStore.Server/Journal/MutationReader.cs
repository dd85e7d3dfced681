using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Journal;

/// <summary>
/// Bytes to mutations. Total: bytes that are no mutations give false, whatever they are, and what it returns can be applied in any
/// state, except that a parent may be missing.
/// </summary>
internal ref struct MutationReader(ReadOnlySpan<byte> body)
{
    private ReadOnlySpan<byte> rest = body;
    private bool failed;

    internal static bool TryReadAll(ReadOnlySpan<byte> body, out List<StoreMutation> mutations)
    {
        mutations = [];
        var reader = new MutationReader(body);
        while (!reader.rest.IsEmpty)
        {
            if (reader.Read() is not { } mutation)
            {
                return false;
            }

            mutations.Add(mutation);
        }

        return true;
    }

    private StoreMutation? Read()
    {
        StoreMutation? mutation = (MutationKind)Byte() switch
        {
            MutationKind.SetGeneration => new SetGeneration(Number()),
            MutationKind.PutNode => new PutNode(NodePath(), Bytes().ToArray(), Permissions(), Number(), Number()),
            MutationKind.RemoveNode => new RemoveNode(NodePath(), Number()),
            MutationKind.IntroduceDomain => new IntroduceDomain(Domain(), Number(), Int()),
            MutationKind.ReleaseDomain => new ReleaseDomain(Domain()),
            MutationKind.SetDomainShutdown => new SetDomainShutdown(Domain(), Byte() != 0),
            MutationKind.SetDomainTarget => new SetDomainTarget(Domain(), Domain()),
            MutationKind.AddWatch => new AddWatch(Domain(), Text(), Text()),
            MutationKind.RemoveWatch => new RemoveWatch(Domain(), Text(), Text()),
            MutationKind.ClearWatches => new ClearWatches(Domain()),
            MutationKind.SetSpecialPermissions => new SetSpecialPermissions(Text(), Permissions()),
            MutationKind.SetQuota => new SetQuota(Text(), Int()),
            _ => null,
        };
        return failed ? null : mutation;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (rest.Length < count)
        {
            failed = true;
            rest = [];
            return new byte[count];
        }

        ReadOnlySpan<byte> taken = rest[..count];
        rest = rest[count..];
        return taken;
    }

    private byte Byte() => Take(1)[0];

    private ushort Short() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    private uint Int() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private ulong Number() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    private DomainId Domain() => new(Short());

    private ReadOnlySpan<byte> Bytes() => Take(Short());

    private string Text() => Encoding.Latin1.GetString(Bytes());

    private string NodePath()
    {
        string path = Text();
        failed |= !XenStorePath.IsValidNode(path, XenStoreLimits.MaximumAbsolutePath);
        return path;
    }

    private ImmutableArray<NodePermission> Permissions()
    {
        int count = Short();
        failed |= count == 0 || count * 3 > rest.Length;
        if (failed)
        {
            return [default];
        }

        ImmutableArray<NodePermission>.Builder permissions = ImmutableArray.CreateBuilder<NodePermission>(count);
        for (int i = 0; i < count; i++)
        {
            permissions.Add(new NodePermission(Domain(), (NodeAccess)Byte() & NodeAccess.ReadWrite));
        }

        return permissions.MoveToImmutable();
    }
}
