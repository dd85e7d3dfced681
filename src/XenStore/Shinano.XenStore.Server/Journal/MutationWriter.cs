using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Journal;

/// <summary>Mutations to bytes; drawn in docs/formats/xenstore-journal.md. The inverse is <see cref="MutationReader"/>.</summary>
internal sealed class MutationWriter(IBufferWriter<byte> output)
{
    internal void Write(StoreMutation mutation)
    {
        switch (mutation)
        {
            case SetGeneration generation:
                Start(MutationKind.SetGeneration);
                Number(generation.Generation);
                break;
            case PutNode put:
                Start(MutationKind.PutNode);
                Text(put.Path);
                Bytes(put.Value.Span);
                Permissions(put.Permissions);
                Number(put.Generation);
                Number(put.Order);
                break;
            case RemoveNode remove:
                Start(MutationKind.RemoveNode);
                Text(remove.Path);
                Number(remove.Generation);
                break;
            case IntroduceDomain introduce:
                Start(MutationKind.IntroduceDomain);
                Short(introduce.Domain.Value);
                Number(introduce.Frame);
                Int(introduce.Port);
                break;
            case ReleaseDomain release:
                Start(MutationKind.ReleaseDomain);
                Short(release.Domain.Value);
                break;
            case SetDomainShutdown shutdown:
                Start(MutationKind.SetDomainShutdown);
                Short(shutdown.Domain.Value);
                Byte(shutdown.IsShutDown ? (byte)1 : (byte)0);
                break;
            case SetDomainTarget target:
                Start(MutationKind.SetDomainTarget);
                Short(target.Domain.Value);
                Short(target.Target.Value);
                break;
            case AddWatch add:
                Start(MutationKind.AddWatch);
                Short(add.Domain.Value);
                Text(add.Path);
                Text(add.Token);
                break;
            case RemoveWatch remove:
                Start(MutationKind.RemoveWatch);
                Short(remove.Domain.Value);
                Text(remove.Path);
                Text(remove.Token);
                break;
            case ClearWatches clear:
                Start(MutationKind.ClearWatches);
                Short(clear.Domain.Value);
                break;
            case SetSpecialPermissions special:
                Start(MutationKind.SetSpecialPermissions);
                Text(special.Path);
                Permissions(special.Permissions);
                break;
            case SetQuota quota:
                Start(MutationKind.SetQuota);
                Text(quota.Name);
                Int(quota.Value);
                break;
            default:
                throw new InvalidOperationException($"{mutation.GetType().Name} has no form in the journal.");
        }
    }

    private void Start(MutationKind kind) => Byte((byte)kind);

    private void Byte(byte value)
    {
        output.GetSpan(1)[0] = value;
        output.Advance(1);
    }

    private void Short(ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(output.GetSpan(2), value);
        output.Advance(2);
    }

    private void Int(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(output.GetSpan(4), value);
        output.Advance(4);
    }

    private void Number(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(output.GetSpan(8), value);
        output.Advance(8);
    }

    private void Text(string text)
    {
        Short(checked((ushort)text.Length));
        output.Advance(Encoding.Latin1.GetBytes(text, output.GetSpan(text.Length)));
    }

    private void Bytes(ReadOnlySpan<byte> bytes)
    {
        Short(checked((ushort)bytes.Length));
        output.Write(bytes);
    }

    private void Permissions(ImmutableArray<NodePermission> permissions)
    {
        Short(checked((ushort)permissions.Length));
        foreach (NodePermission permission in permissions)
        {
            Short(permission.Domain.Value);
            Byte((byte)permission.Access);
        }
    }
}
